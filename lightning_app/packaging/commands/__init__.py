"""Commands of packages: export, and package show, verify and diff."""
