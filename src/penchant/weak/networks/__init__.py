"""Networks that an algorithm trains by gradients: several arms at once, each with random numbers of its own."""
