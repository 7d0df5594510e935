"""Domain discriminators."""

from mmseg_uda.models.discriminators.fc_discriminator import FCDiscriminator

__all__ = ['FCDiscriminator']
