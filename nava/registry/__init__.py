"""Model versions, aliases, promotion and its ledger, on MLflow."""
