"""The released code's own numbers against this code: golden sets, and what computes each kind of case here."""
