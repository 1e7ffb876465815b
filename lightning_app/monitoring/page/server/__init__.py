"""Server of `monitor serve`: newest reports over HTTP, made again and again by a thread."""
