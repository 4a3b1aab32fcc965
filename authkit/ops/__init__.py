"""Operating the database: migrations, partitions, checks of what is really there."""
