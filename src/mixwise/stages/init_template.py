"""The recipe that `mixwise init` writes: every key, with its default and a comment."""

from __future__ import annotations

HORIZON = "horizon_tokens: 10_000_000   # tokens of the final run"
OF_EXAMPLES = "horizon_examples: 20_000     # examples of the final run"

TEMPLATE = """\
# A mixwise recipe. Paths are relative to this file; keys that are commented out show defaults.
#   mixwise check {recipe}                  what it will cost, and what is wrong, before training
#   mixwise run {recipe} --study study/     the whole job; run it again to resume

base: {base}          # folder of a Hugging Face model, or its name on the hub (name@revision)

domains:              # the datasets to mix, at least two
{domains}
  # A domain can also come from the hub, name its own held-out files, or bring its expert:
  # news:
  #   hub: {{dataset: org/name, config: null, split: train, revision: null}}   # or files: PATTERN
  #                                # stream_rows: 100_000 reads so many of its first rows alone
  #   weights: {{}}                  # of each of the `files`, by what shares count: {{a.jsonl: 2}}
  #   sources: []                  # in place of files or hub, several with keys of their own:
  #                                # [{{files: a.jsonl, weight: 2}}, {{files: b.txt, weight: 1}}]
  #   where: {{}}                    # rows alone that have these values, such as {{source: wiki}}
  #   records: null                # told by the fields; or text, prompt-completion, chat, sharegpt,
  #                                # alpaca (conversations, by the tokenizer's chat template)
  #   field: text                  # the field that holds the text; dots lead into objects
  #   fields: null                 # of other rows: {{prompt: question, completion: answer}}
  #   learn: null                  # assistant (its turns), completion (the last), all; as usual
  #   format: auto                 # by the name; or jsonl, json, csv, tsv, parquet, arrow, text
  #   document_characters: 2000    # plain text is cut into documents of about so many
  #   heldout_files: []            # or a pattern, such as data/news-test.jsonl
  #   expert: null                 # or a folder or hub name of a model, or an adapter, that was
  #                                # trained from the same base

# domains_from: null         # or a source whose column names further domains, one a value:
#                            # {{files: data/all.jsonl, column: source, least_rows: 1}}

horizon_tokens: 10_000_000   # tokens of the final run
budget: 0.25                 # tokens that may be trained for the answer, in final runs
# shares_by: tokens          # what shares count; or supervised_tokens (that are learned), rows
# verify: false              # or true: references, baselines and second seeds too (`run --verify`)
# sequence_length: 1024
# task: causal-lm            # or text-classification, on rows of text and label, or
#                            # image-classification, on folders DIR/LABEL/*.png or rows of image
#                            # and label: horizon_examples stands for horizon_tokens then
# labels: shared             # or per-domain: each has labels, and a head of the model, of its own;
#                            # a set besides names the domain whose head reads it: {{head: films}}
# example_tokens: 128        # longer labelled texts are cut to so many tokens
# document_masking: false    # rows are packed: documents laid end to end; true: they do not see
#                            # each other, and positions begin anew at each
# bos: auto                  # rows begin with BOS as the tokenizer wants it; or always, never
# chat_template: null        # or a Jinja file for conversations, in place of the tokenizer's own

# heldout:
#   fraction: 0.1            # of each domain's documents
#   overlap: refuse          # or drop: held-out texts that also stand in training rows

# contamination:             # rows of evaluation sets that stand in training data
#   action: warn             # or drop (left out of the evaluation), refuse
#   ngram_words: 8           # compared as n-grams of words, whatever their case and white space
#   coverage: 0.5            # share of a row that one training document must hold

{evaluation}

training:
  # method: full             # or lora
  # optimizer: adamw         # or sgd, with momentum
  # learning_rate: 1.0e-4
  # batch_sequences: 16
  # gradient_accumulation_steps: 1
  # schedule: constant       # with warm-up; or cosine, linear
  # warmup_steps: 3
  # weight_decay: 0.0
  # adam_beta1: 0.9
  # adam_beta2: 0.999
  # momentum: 0.9            # of sgd
  # max_grad_norm: 1.0
  seed: 0
  # precision: float32       # or bfloat16: autocast, checkpoints stay in float32
  # device: auto             # or cpu, cuda, mps
  # processes_per_run: 1     # several GPUs for one run, of one host or (Ray) of several
  # gradient_checkpointing: false
  # trajectory_checkpoints: 0
  # snapshots: 8             # of one run, to resume from
  # lora: {{rank: 16, alpha: 32, target_modules: all-linear}}

# experts:
#   horizon_tokens: null     # of each; by default what the budget pays for
#   halvings: 2              # they are merged at so many halves of it too, to continue scores
#   schedule: constant       # of their learning rate, whatever the final run's is
#   match_repetition: true   # a scarce text is repeated as often as in the final run, a part of it
#   method: auto             # training, or gradients: a step along each domain's gradient

# proxy:
#   answer: auto             # merged models, the experts' averaged predictions, or both
#   continued: true          # to the final horizon

# objective:                 # by default: the mean held-out loss of all domains
#   metrics:                 # of texts: loss, bits_per_byte
#                            # of choices: accuracy, accuracy_norm, answer_bits_per_byte
#                            # of `kind: greedy`: greedy_match, token_accuracy
#                            # of `kind: generation`: those that its set names, tokens_written
#                            # of `kind: lm-eval`: the task's own, as its set names them
#     - {{set: {text_set}, measure: loss, weight: 2, direction: null}}
#     - {{set: {choice_set}, measure: answer_bits_per_byte}}
#   aggregation: mean        # or worst; metrics with the same `group: NAME` count as one
#   front: []                # trade-off of two or three groups of metrics: [code, french]
#   floors:                  # what must not get worse than the base, or than a value
#     - {{set: {text_set}, measure: bits_per_byte, value: null, margin: 0.0}}

search:
  method: auto               # slopes, bayes, newton, mirror, lattice, mergemix, demix, subsets, …
  # budget: null             # most candidates to score; by default as the method needs
  # bounds:
  #   {domain}: {{min_share: 0.1, max_share: 0.6}}   # or share: 0.2, which fixes it
  # groups: {{}}               # joint shares: {{english: {{domains: [web, news], max_share: 0.6}}}}
  # limits: []               # between domains and groups: ["code >= 2 * math", "web <= 0.3"]
  # cost: null               # of tokens: {{per_million_tokens: {{web: 0, books: 12}}, max_mean: 5}}
  #                          # or max_total: 100, of the final run
  # grid: null               # step of the shares of all that is trained, such as 0.05
  # prior: null              # {{shares: available, weight: 0.1}}: stay close; or uniform, or shares
  # hierarchy: {{}}            # groups of many domains, for top-down, bottom-up: {{web: [web-*]}}
  max_repetition: 4          # most epochs of any domain
  # prefer: uniform          # among mixtures that are as good; or available (tokens), or none
  # seed: 0

# merge:
#   rule: auto               # the plain merge; or centre, pairs, optimiser-aware, blend, ties, …

# calibration:
#   mixtures: null           # trained to learn what the proxy misses; by default within the budget
#   seeds: 1                 # runs of each

# validation:                # beyond the budget; {{mixtures: 12, seeds: 2}} with `verify: true`
#   mixtures: 0              # reference mixtures to train
#   seeds: 2                 # runs of each

final:
  train: true                # the recommendation, for real
  # start: base              # or merged: from the merge of the experts in the mixture's shares
  # baselines: []            # trained beside it; [uniform, available, single] with `verify: true`
  # seeds: 1                 # 2 with `verify: true`

# engine:
#   cluster: local           # this machine; or ray (mixwise[ray]), or an engine of yours
#   address: auto            # of Ray: auto, local, host:port or ray://host:port
#   workers: auto            # runs at once
#   threads: auto            # of each
#   memory_gb: null          # that a cluster keeps free for each
#   storage: null            # s3://BUCKET/PREFIX, where the hosts of a cluster share no disk
#   task_vectors: float32    # how experts are stored for merging; or bfloat16, int8

# tracking:                  # tools that are told of the study and its runs; changes no result
#   to: []                   # tensorboard, mlflow, wandb, trackio; each needs its extra
#   project: mixwise         # of W&B and Trackio; MLflow's experiment
#   name: null               # the study's, there; by default that of its folder
#   mlflow_uri: null         # by default $MLFLOW_TRACKING_URI, or a file in the study's folder
"""

SET_EXAMPLE = """\
#   sets:                    # sets outside the domains that the model should be good at
#     manual: {files: eval/manual.jsonl, field: text, kind: text}
#     quiz:                  # rows of multiple choice, and where their parts stand
#       files: eval/quiz.jsonl
#       kind: choice
#       fields: {prompt: prompt, choices: choices, answer: answer, labels: null, separator: ""}
#     sums:                  # questions whose answers the model writes
#       files: eval/sums.jsonl
#       kind: generation
#       fields: {prompt: question, answer: answer, separator: "\\nAnswer:"}
#       measures: [exact_match]   # or normalised_match, contains, number, f1, pattern_found,
#                            # function
#       function: null       # of the measure of that name: "my_module:grade", given text, answers
#       pattern: null        # regular expression that takes the answer out of what is written
#       max_new_tokens: 64
#       stop: []
#       temperature: 0.0     # greedy; else sampled
#       top_p: 1.0
#       seed: 0
#       apply_chat_template: false   # whether the question is asked as a user's turn
#       generator: transformers   # or vllm, which needs mixwise[vllm] and a GPU
#       generator_memory: 0.5     # of vllm: share of the GPU beside the merged model
#     arc:                   # a task of the lm-evaluation-harness, or of your own YAML files
#       kind: lm-eval
#       task: arc_easy
#       measures: [acc_norm, answer_bits_per_byte]
#       include_path: null   # folder of your own tasks
#       documents: search    # half of them; the other half by `report`, or all
#       num_fewshot: null
#       limit: null
#       filter: null
#       apply_chat_template: false
#     mine: {kind: command, command: [python, score.py, "{model}"], measures: {score: max}}
#     ours: {kind: function, function: "my_module:score", measures: {score: max}}"""

EVALUATION = """\
#   max_sequences: 64        # per set
#   batch_sequences: 16
#   precision: float32       # of the model that is evaluated; or bfloat16, float16
#   placement: device        # or split (over all GPUs), layers (one at a time, for large models)
#   memory_gb: null          # what placement `layers` may take; by default half of what is free
#   batch_norm_batches: 32   # that the statistics of a merge are measured on, with batch norm"""
