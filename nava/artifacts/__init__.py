"""The contracts: schema, version, read, write, hash and sign of everything that flows."""
