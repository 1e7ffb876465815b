"""What the project measures itself with, beside its peers. Not a test: run it by `make bench`."""
