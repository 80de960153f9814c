"""Adapters: public logs as the canonical tables of events and samples."""
