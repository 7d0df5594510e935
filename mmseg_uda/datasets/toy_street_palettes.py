"""Colours of every material of the toy streets, RGB in hexadecimal, one or more to choose from."""

from __future__ import annotations

__all__ = ['SOURCE_PALETTE', 'TARGET_PALETTE']

SOURCE_PALETTE: dict[str, str] = dict(
    asphalt='6b6f7a', marking='f4f4ee', rail='a0a4ad', paving='cbbfae', joint='b3a796',
    curb='e4dccd', plaster='f2c894 e8a08a f0e0b8 c7d3e8 d98a6a e9b7c0', roof='a8442f 7d4a3a 5d6470',
    frame='fbf7ee', window='7fb6d9', lit='a7d3ea', door='7a4a2e 2f5d62', awning='c94f4f 3f7f6b',
    skyline='c3b7c9 b4adc4', brick='b0705a 9c6f74', coping='d8c3b0', picket='f3efe2 8a6a4a',
    gap='a9b48c', metal='53585f', signalbox='26292d', red='ff3b30', amber='ffb000',
    green='2fd05f', dull='55585c', signred='d8232a', signwhite='fafafa', signblue='1f62c4',
    signyellow='ffd21f', leafdark='2f7d3a', leaf='43a047', leaflight='74c365', trunk='7b5433',
    grass='9ccc5a', grasslight='b1d86c', sky='79c3f2', cloud='f7fbff',
    skin='f1c7a0 8d5a3b e0ac80', hair='3b2a20 7a4b22 1c1c1c',
    shirt='e53958 f28c28 8e44ad 16a085 f5f5f5', trousers='2c3e70 4a3b32 39414d', shoe='2a2220',
    jersey='c6ff1a ff6a13', helmet='ffffff ff3355',
    paint='d7263d 1e6fd9 f4f6f8 2b2f38 f2b705 2a9d8f', glass='2d4356', tyre='1f2125', hub='b9bec6',
    taillight='ff2a2a', headlight='fff6cf', plate='f5f2d0', cargo='f6f1e6 dfe6ee f3a03c',
    cargoline='3a6ea5 a33b2e', cab='2e7dc2 c0392b 3d8b4f', bus='ffc21a', busstripe='e2574c',
    tram='fbfbf4', tramstripe='1f9e89', moto='b3124a 5b2bb3', bike='00a7c7 e0218a 2e2e2e',
    spokes='c9d3d8', bonnet='38404c')

TARGET_PALETTE: dict[str, str] = dict(
    asphalt='4c4650', marking='b8ada0', rail='776f70', paving='857a76', joint='6d6360',
    curb='9c918a', plaster='a98467 8c6a5c 9f8f7d 7d7585 8a5546 b29a86',
    roof='5b3a35 4a3c40 3f3f4a', frame='b8a894', window='3b4254', lit='ffc96b',
    door='40302a 2c3a3f', awning='7d3d3a 3b5750', skyline='8d7580 7d6a7c', brick='7a4a40 6d4d50',
    coping='a08c80', picket='a59a88 594838', gap='5d5f48', metal='34343a', signalbox='17181c',
    red='ff4030', amber='ffa820', green='40e090', dull='2c2b2e', signred='b32a2c',
    signwhite='d6cdc4', signblue='2b4c8c', signyellow='d9a52a', leafdark='33401f',
    leaf='4c5a28', leaflight='77772f', trunk='4a3526', grass='7c7440', grasslight='8a7d48',
    sky='b98a86', cloud='e0a58c', skin='c79a7c 6d4632 b08262', hair='2a2020 54361f 151515',
    shirt='8e3040 a5642c 5d3a70 2a6560 b8b0a8', trousers='2a3048 3a302c 2c3036', shoe='1d1818',
    jersey='b7c832 d9622a', helmet='cfc6c0 b83a4a',
    paint='7d2630 2b466f b9b4b0 26272d a27f33 4a5f60', glass='262b38', tyre='17171b', hub='77757a',
    taillight='ff3a28', headlight='fff0c0', plate='b5aa92', cargo='b7aca0 9aa0a8 a9733c',
    cargoline='3a4f6d 6f3a34', cab='33547a 7c362f 3d5c44', bus='c08a2c', busstripe='8f4038',
    tram='b5aea6', tramstripe='2c6a62', moto='6e1f3c 43306f', bike='2a6c7c 8c3064 26262a',
    spokes='7a7a7c', bonnet='1c1e26')
