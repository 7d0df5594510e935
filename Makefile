# Everyday commands; the environment is .venv.
.PHONY: demo test slow check docs

demo:  ## draw data, train source only and DACS, compare them
	python3 quickstart.py

test:  ## the tests that CI runs
	python3 quickstart.py --test

slow:  ## the longer ones
	python3 quickstart.py --test -m slow

check:  ## style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	if [ -x .venv/bin/mypy ]; then .venv/bin/mypy; fi

docs:  ## the site, at http://127.0.0.1:8000
	.venv/bin/pip install -q -r requirements/docs.txt
	.venv/bin/mkdocs serve
