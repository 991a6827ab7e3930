# make repro: set up, run the pipeline, print the table.   make test: set up, run the tests.   make taste: see below
# Another build of torch, e.g. for a GPU:  make repro TORCH="torch==2.13.0 --index-url <address of that build>"

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
.PHONY: repro taste test exps verify bench lint lock clean

repro: $(VENV)/installed
	@git rev-parse --is-inside-work-tree >/dev/null 2>&1 || \
	  { echo "make repro: DVC needs a git checkout; use git clone, or: git init && git add . && git commit -m start"; exit 1; }
	python stages/mend.py
	dvc repro
	@python stages/report.py --print

# A first look at a real pretrained model: SmolLM2-135M on Tiny Shakespeare, fine-tuned on a fifth of train. On two cores
# a quarter of an hour with matrix units (AMX), twice that without. Then: git checkout HEAD -- metrics params.yaml dvc.lock
taste: $(VENV)/installed
	python stages/mend.py
	dvc exp run -S scale=laptop -S 'seeds=[1337]' -S rows.partial=true -S 'rows.scratch=[]' -S 'rows.finetune=[finetune]' -S 'adapting.rows=[finetune]' -S 'adapting.ways=[mixed]' -S 'learning_curves.rows=[]' \
	  -S analysis.prefixes=64 -S 'analysis.temperatures=[0.8]' -S 'analysis.top_ps=[0.9]' \
	  -S scales.laptop.model.block_size=256 -S scales.laptop.finetuning.block_size=256 \
	  -S ++scales.laptop.finetuning.share=0.2 -S scales.laptop.finetuning.warmup_steps=3 \
	  -S ++scales.laptop.finetuning.eval_tokens=2048 -S scales.laptop.training.batch_size=8
	@python stages/report.py --print
	@gpt2-shakespeare sample "Messenger:" -m base -m finetune

test: $(VENV)/installed
	python -m pytest

# All experiments: the val losses, and the params that differ.
exps:
	@dvc exp show --no-pager --only-changed \
	  --drop 'data|src|stages|models|params.yaml|Created|.*:(train|dev|perp|bits|pass|val_loss_)'

# Regenerates the committed figures in a scratch clone and compares them row by row.
verify: $(VENV)/installed
	python tests/verify.py

# Speed and memory beside Hugging Face's GPT-2, cost against size, what DVC costs: an hour on two cores.
bench: $(VENV)/installed
	python benchmarks/speed.py
	python benchmarks/scaling.py
	python benchmarks/pipeline.py

lint: $(VENV)/installed
	ruff check .
	ruff format --check .
	mypy

# torch first and by itself, so that a build of your own choice stays
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make repro PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	python -m pip install --quiet --disable-pip-version-check $(TORCH)
	grep -v '^torch==' requirements.lock > $(VENV)/requirements.txt
	python -m pip install --quiet --disable-pip-version-check --no-deps -r $(VENV)/requirements.txt
	python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# After a change of pyproject.toml: the newest versions that fit, written down.
lock:
	$(PYTHON) -m venv --clear $(VENV)
	python -m pip install --quiet $(TORCH)
	python -m pip install --quiet --editable '.[pipeline,dev,docs]'
	python -m pip freeze --exclude-editable | sed -E '/^nvidia-|^triton==/d; s/^(torch==[0-9.]+)\+.*/\1/' > requirements.lock

clean:
	rm -rf $(VENV) data/demo data/laptop data/novels data/paper models logs .downloads .checkpoints
