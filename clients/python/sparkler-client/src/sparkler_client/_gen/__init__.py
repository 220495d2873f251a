"""Messages of the worker's API, generated when the package is built."""
