# Is adaptation worth it, and what are labels worth? On a pair of the small benchmark, one after the
# other: source only, its AdaBN, what init_pair.py writes, DACS, DACS with N labelled target images,
# all labels of the target.
# docs/value.md explains the steps, and has the results of two seeds. A cell takes one to two hours on
# one core.
#   python tools/run_pipeline.py configs/value/value_pipeline.py --cell small-day
steps = [
    'source_only', 'adabn', 'dacs_rcs_continued', 'dacs', 'dacs_5', 'dacs_20', 'dacs_60', 'all_labels'
]
pairs = dict(day=[*steps[:-1], 'dacs_80', steps[-1]], dusk=steps)
seed = 0
cells = {
    f'small-{pair}': [f'../benchmarks/small_real.py:{pair}-{step}' for step in steps]
    for pair, steps in pairs.items()
}
