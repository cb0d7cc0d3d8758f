"""Tells spam from mail: rules that give reasons, and a Naive Bayes table learnt from real mail."""
