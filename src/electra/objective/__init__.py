"""ELECTRA's training objective: masking, replaced-token detection, and masked language modeling to compare with."""
