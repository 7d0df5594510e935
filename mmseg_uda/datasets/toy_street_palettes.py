"""Colours of every material of the toy streets, RGB in hexadecimal, one or more to choose from."""

from __future__ import annotations

__all__ = ['SOURCE_PALETTE', 'TARGET_PALETTE']

SOURCE_PALETTE: dict[str, str] = {
    'asphalt': '6b6f7a', 'marking': 'f4f4ee', 'rail': 'a0a4ad', 'paving': 'cbbfae',
    'joint': 'b3a796', 'curb': 'e4dccd', 'plaster': 'f2c894 e8a08a f0e0b8 c7d3e8 d98a6a e9b7c0',
    'roof': 'a8442f 7d4a3a 5d6470', 'frame': 'fbf7ee', 'window': '7fb6d9', 'lit': 'a7d3ea',
    'door': '7a4a2e 2f5d62', 'awning': 'c94f4f 3f7f6b', 'skyline': 'c3b7c9 b4adc4',
    'brick': 'b0705a 9c6f74', 'coping': 'd8c3b0', 'picket': 'f3efe2 8a6a4a', 'gap': 'a9b48c',
    'metal': '53585f', 'signalbox': '26292d', 'red': 'ff3b30', 'amber': 'ffb000',
    'green': '2fd05f', 'dull': '55585c', 'signred': 'd8232a', 'signwhite': 'fafafa',
    'signblue': '1f62c4', 'signyellow': 'ffd21f', 'leafdark': '2f7d3a', 'leaf': '43a047',
    'leaflight': '74c365', 'trunk': '7b5433', 'grass': '9ccc5a', 'grasslight': 'b1d86c',
    'sky': '79c3f2', 'cloud': 'f7fbff', 'skin': 'f1c7a0 8d5a3b e0ac80',
    'hair': '3b2a20 7a4b22 1c1c1c', 'shirt': 'e53958 f28c28 8e44ad 16a085 f5f5f5',
    'trousers': '2c3e70 4a3b32 39414d', 'shoe': '2a2220', 'jersey': 'c6ff1a ff6a13',
    'helmet': 'ffffff ff3355', 'paint': 'd7263d 1e6fd9 f4f6f8 2b2f38 f2b705 2a9d8f',
    'glass': '2d4356', 'tyre': '1f2125', 'hub': 'b9bec6', 'taillight': 'ff2a2a',
    'headlight': 'fff6cf', 'plate': 'f5f2d0', 'cargo': 'f6f1e6 dfe6ee f3a03c',
    'cargoline': '3a6ea5 a33b2e', 'cab': '2e7dc2 c0392b 3d8b4f', 'bus': 'ffc21a',
    'busstripe': 'e2574c', 'tram': 'fbfbf4', 'tramstripe': '1f9e89', 'moto': 'b3124a 5b2bb3',
    'bike': '00a7c7 e0218a 2e2e2e', 'spokes': 'c9d3d8', 'bonnet': '38404c',
}

TARGET_PALETTE: dict[str, str] = {
    'asphalt': '57545f', 'marking': 'cdc6bb', 'rail': '858285', 'paving': '9e928a',
    'joint': '867b73', 'curb': 'b5aba1', 'plaster': 'c39c77 ac7d6c bbab92 9796a8 a66853 c5a49a',
    'roof': '763e33 5c413e 4a4c57', 'frame': 'cfc4b4', 'window': '536b83', 'lit': 'ffc468',
    'door': '54392b 2d464b', 'awning': '984341 3c6559', 'skyline': 'a08c9a 908195',
    'brick': '8d5749 7d595d', 'coping': 'b49f91', 'picket': 'c0b8a8 6a543e', 'gap': '787d60',
    'metal': '3f4147', 'signalbox': '1c1e22', 'red': 'ff3e30', 'amber': 'ffab15',
    'green': '3ada7f', 'dull': '3a3b3e', 'signred': 'c0282b', 'signwhite': 'e3ddd7',
    'signblue': '2754a0', 'signyellow': 'e6b526', 'leafdark': '325528', 'leaf': '497233',
    'leaflight': '769242', 'trunk': '5b402b', 'grass': '879349', 'grasslight': '989d55',
    'sky': 'a39eac', 'cloud': 'e8c3b4', 'skin': 'd6aa89 784d35 c1916c',
    'hair': '302420 613d20 171717', 'shirt': 'ac3348 c0722b 6e3e85 237a6d cdc8c3',
    'trousers': '2b3556 40342e 31363e', 'shoe': '221c1b', 'jersey': 'bcdb2a e66522',
    'helmet': 'e0dad6 d1384e', 'paint': '9c2635 265494 cecbc9 282a31 be9323 3f7570',
    'glass': '283342', 'tyre': '1a1a1e', 'hub': '8e8f95', 'taillight': 'ff3429',
    'headlight': 'fff2c5', 'plate': 'cbc3a8', 'cargo': 'cdc4b8 b2b8c0 c3833c',
    'cargoline': '3a5a81 813a32', 'cab': '316293 94372e 3d6c48', 'bus': 'd69e26',
    'busstripe': 'ac483f', 'tram': 'cec9c1', 'tramstripe': '277c70', 'moto': '861a41 4b2e87',
    'bike': '1b8196 a92b71 29292b', 'spokes': '96999c', 'bonnet': '262a33',
}
