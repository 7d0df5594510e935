"""Learning rates that fall from the last block of a backbone to its first layer."""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from mmseg_uda.utils.arguments import check_number, expect

__all__ = ['BlockDecayOptimizerConstructor']


LISTS = (nn.ModuleList, nn.Sequential)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BlockDecayOptimizerConstructor(DefaultOptimWrapperConstructor):
    r"""Layer-wise decay of the rate, as timm's ``param_groups_layer_decay`` computes it.

    Block i of L has the rate times :math:`d^{L - 1 - i}`, the layers before the blocks (patch and
    position embedding) have it times :math:`d^L`, and all others have it in full. mmseg's
    ``LayerDecayOptimizerConstructor`` has one power more for each layer, and knows few backbones.

    Args:
        optim_wrapper_cfg: As for mmengine's default constructor.
        paramwise_cfg: As for mmengine's default constructor, whose rules come first, with
            ``blocks``, the name of the list of blocks, such as
            ``'backbone.timm_model.model.blocks'``, and ``decay_rate``, d, in (0, 1].

    Raises:
        ValueError: ``blocks`` is missing or names no list of modules, or ``decay_rate`` is out of
            range.
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        paramwise = dict(paramwise_cfg or {})
        name = type(self).__name__
        self.blocks, self.decay_rate = paramwise.pop('blocks', None), paramwise.pop('decay_rate', 0)
        check_number(f'{name}.paramwise_cfg.decay_rate', self.decay_rate, '(0, 1]')
        is_name = isinstance(self.blocks, str)
        expect(is_name, f'{name}.paramwise_cfg.blocks', 'the name of a list of blocks', self.blocks)
        super().__init__(optim_wrapper_cfg, paramwise)

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Add a group per trainable parameter of a module to ``params``."""
        super().add_params(params, module, prefix, is_dcn_module)
        if prefix:  # a part of the module that was asked for
            return
        scales = self._scales(module)
        for group in params:
            (param,) = group['params']
            if id(param) in scales:
                rate: Any = group.get('lr', self.base_lr)
                group['lr'] = rate * scales[id(param)]

    def _scales(self, module: nn.Module) -> dict[int, float]:
        """Factor of the rate of each parameter, by id, where it is not 1."""
        name = f'{type(self).__name__}.paramwise_cfg.blocks'
        owner_name, _, list_name = self.blocks.rpartition('.')
        names = [key for key, each in module.named_modules() if isinstance(each, LISTS)]
        expect(self.blocks in names, name, f'one of {names}', self.blocks)
        owner = module.get_submodule(owner_name)
        blocks = list(owner.get_submodule(list_name).children())
        scales = {
            id(param): self.decay_rate ** (len(blocks) - 1 - i)
            for i, block in enumerate(blocks)
            for param in block.parameters()
        }
        before = [*owner.parameters(recurse=False)]  # position embeddings and tokens
        for child_name, child in owner.named_children():
            if child_name == list_name:
                break
            before += child.parameters()
        return {**dict.fromkeys(map(id, before), self.decay_rate ** len(blocks)), **scales}
