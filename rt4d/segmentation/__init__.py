"""The gross tumour volume found by a network: its space, its bundle, inference, candidates. Import what is needed from the modules themselves."""
