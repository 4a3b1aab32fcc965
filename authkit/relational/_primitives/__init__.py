"""What differs between threads and asyncio in a unit of work, each written by hand."""
