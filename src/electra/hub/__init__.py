"""Model folders and the hub: names, weights, from_pretrained and save_pretrained."""
