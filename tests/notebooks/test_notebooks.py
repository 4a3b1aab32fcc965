from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
import vl_convert
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
VEGA_LITE = "application/vnd.vegalite.v5+json"
PICTURES = {
    "01_quickstart": 4,
    "02_login_risk": 4,
    "03_attack_hunt": 2,
    "04_audit_trail": 4,
    "05_failover": 2,
    "06_benchmarks": 2,
    "07_beyond_one_machine": 1,
}
# Executed by default; the others with `-m slow`.
QUICK = ("01_quickstart", "04_audit_trail")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def from_analysis(name: str) -> ModuleType:
    path = ROOT / "tests" / "analysis" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


png = from_analysis("png")


def run(path: Path, folder: Path, variables: dict[str, str]) -> nbformat.NotebookNode:
    """Execute a notebook in a kernel of this interpreter, away from user's folders."""
    ours = ("DATABASE_", "AUTHKIT_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment = {
        **kept,
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        **variables,
    }
    made = nbformat.read(path, as_version=4)
    client = NotebookClient(
        made,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment)
    return made


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]


@every_notebook
def test_a_notebook_is_kept_without_outputs(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []
    assert notebook.metadata.kernelspec.name == "python3"


@every_notebook
def test_a_notebook_asks_a_question_and_draws_a_conclusion(path: Path):
    notebook = nbformat.read(path, as_version=4)
    text = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    assert text[0].source.splitlines()[0].endswith("?")
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[-2].cell_type == "markdown"


@pytest.mark.notebooks
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem in QUICK else pytest.mark.slow)
        for path in NOTEBOOKS
    ],
    ids=lambda path: path.stem,
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_notebook_runs_and_each_of_its_pictures_shows(
    path: Path, tmp_path: Path, nodes: dict[str, str]
):
    made = outputs(run(path, tmp_path, nodes))
    # A caller's errors are rows of a frame there: of a failover none is of this kind.
    assert "SchemaMismatch" not in str(made)
    shown = [o.data for o in made if "data" in o and VEGA_LITE in o.data]
    assert len(shown) == PICTURES[path.stem]
    for data in shown:
        assert "Nothing in this window." not in data["image/svg+xml"]
        assert not png.is_blank(vl_convert.svg_to_png(data["image/svg+xml"]))


@pytest.mark.slow
@pytest.mark.notebooks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_without_a_database_a_notebook_starts_a_lab_of_its_own(tmp_path: Path):
    made = run(ROOT / "notebooks" / "01_quickstart.ipynb", tmp_path, {})
    said = "".join(o.text for o in outputs(made) if o.output_type == "stream")
    assert "A lab with 1,500 synthetic people" in said
    assert "addresses guess passwords" in said
