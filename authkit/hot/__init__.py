"""The hot-path layer: operations as values, repositories that run them."""
