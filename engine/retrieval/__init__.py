"""Retrieval for the RAG rung: documents, chunks, an index without a server, its quality, and the prompt block."""
