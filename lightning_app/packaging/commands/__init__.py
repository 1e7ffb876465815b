"""Package commands: `lightning-app export`, and `package show`, `verify` and `diff`."""
