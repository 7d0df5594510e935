# Stage A of SAM, as in ../../sam: the self-attention is trained on the source.
_base_ = ['./source_only.py']
model = dict(
    segmentor=dict(
        decode_head=dict(
            _delete_=True,
            type='SelfAttentionHead',
            self_attention=dict(type='SelfAttentionModule'),
            skip=False,
            classifier=_base_.model.segmentor.decode_head)))
