"""A read-out with an instant head on top; `head` says how its weights are found."""

import torch


class RandomFeatures(torch.nn.Module):
    """φ(h) = √(2/D) cos((h - mean) Ω + phase): (N, F) -> (N, D).

    Random Fourier features of a Gaussian kernel, Rahimi & Recht, NeurIPS 2007.
    """

    def __init__(self, scalars: int, features: int):
        """For F `scalars` and D `features`, not drawn yet."""
        super().__init__()
        sizes = {"mean": [scalars], "omega": [scalars, features], "phase": [features]}
        how = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are
        for name, size in sizes.items():
            self.register_buffer(name, torch.zeros(size, **how))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """The features of each atom."""
        angle = (h - self.mean) @ self.omega + self.phase
        return (2 / len(self.phase)) ** 0.5 * torch.cos(angle)


class Head(torch.nn.Module):
    """What a read-out says of each atom plus w · φ(h): (N, F) -> (N, 1), eV."""

    def __init__(self, outnet: torch.nn.Module, phi: RandomFeatures):
        """With w (D,) eV at zero."""
        super().__init__()
        self.outnet, self.phi = outnet, phi
        self.register_buffer("w", torch.zeros_like(phi.phase))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """The energy of each atom."""
        return self.outnet(h) + (self.phi(h) @ self.w)[:, None]
