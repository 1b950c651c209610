#!/usr/bin/env bash
# The whole road, as a user would walk it: crawl, curate, train, export, report.
# `make demo` calls this with WARC (a glob, or empty) and DEMO (the folder to work in). Run again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
DEMO=${DEMO:-build/demo}

# 1. Pages. Without WARC, the documentation of the installed packages is served on localhost and crawled for real.
if [ -z "${WARC:-}" ]; then
    WARC="$DEMO/warc/*.warc.gz"
    POLICY=technical_documentation
    [ -e "$DEMO/warc/.done" ] || { corpus fetch --out "$DEMO/warc" && touch "$DEMO/warc/.done"; }
else
    # Other pages get another folder, so that each lake is about one crawl.
    DEMO="$DEMO-$(printf %s "$WARC" | cksum | cut -d' ' -f1)"
    POLICY=english_web
fi
mkdir -p "$DEMO"

# 2. Tables: documents, signals, duplicates, decisions, corpus, tokens.
corpus run demo --lake "$DEMO/lake" --warc "$WARC" --set "select_corpus.policy=$POLICY" | tee "$DEMO/summary.txt"

# 3. A small Llama-like model, trained by two ranks on the token table: first what the run will do, then the run.
pretrain plan tiny_cpu --lake "$DEMO/lake" --ranks 2 > "$DEMO/plan.txt"
pretrain run tiny_cpu --lake "$DEMO/lake" --out "$DEMO/training" --ranks 2 | tee -a "$DEMO/summary.txt"

# 4. The model for everyone else: a Hugging Face folder with its tokenizer.
pretrain export-hf "$DEMO/training" --out "$DEMO/model" | tee -a "$DEMO/summary.txt"

# 5. What happened to every page, and how training went.
corpus report --lake "$DEMO/lake" --out "$DEMO/report.html" --training "$DEMO/training" | tee -a "$DEMO/summary.txt"

# 6. Which pages a step trained on, and which steps the first of them was in.
pretrain trace "$DEMO/training" --lake "$DEMO/lake" --step 100 > "$DEMO/step-100.jsonl"
PAGE=$(sed -n '1s/.*"doc_id": "\([0-9a-f]*\)".*/\1/p' "$DEMO/step-100.jsonl")
pretrain exposure "$DEMO/training" "$PAGE" --lake "$DEMO/lake" > "$DEMO/exposure.jsonl"
echo "pages of step 100: $DEMO/step-100.jsonl; steps of its first page: $DEMO/exposure.jsonl" | tee -a "$DEMO/summary.txt"

# 7. What another recipe would have kept of the same pages, from what was measured.
corpus what-if fineweb --lake "$DEMO/lake" > "$DEMO/what-if.txt"
echo "what-if: $DEMO/what-if.txt" | tee -a "$DEMO/summary.txt"

printf '\n%s\n' "---- the demo in short ----"
cat "$DEMO/summary.txt"
