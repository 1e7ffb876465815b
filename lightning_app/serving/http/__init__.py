"""HTTP of the server: routes, bodies, answers, errors."""
