"""Config files: where they are found, which paths and classes they name, and which of those are trusted."""
