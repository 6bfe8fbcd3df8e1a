"""From disagreement to outcome: what the machine drew and the physician did not, and what happened to the patients."""
