"""A diffusion model of small grey pictures: its network, how it is opened, and what it draws."""
