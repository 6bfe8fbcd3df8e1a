"""How the segmenter's network is trained: folds, patches, augmentation, the loop, and the bundle that comes of it."""
