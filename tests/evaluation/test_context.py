from __future__ import annotations

import pytest
import transformers

from mixwise.evaluation.context import context_tokens, length_boundaries

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (transformers.LlamaConfig(max_position_embeddings=77), 77),
        (transformers.GPT2Config(n_positions=77), 77),
        (transformers.MptConfig(max_seq_len=77), 77),
        (transformers.RobertaConfig(**SIZES, max_position_embeddings=79, is_decoder=True), 77),
        (transformers.XLMRobertaConfig(**SIZES, max_position_embeddings=79, is_decoder=True), 77),
        (transformers.BertConfig(**SIZES, max_position_embeddings=77, is_decoder=True), 77),
        (transformers.OPTConfig(**SIZES, max_position_embeddings=77), 77),
        (transformers.BloomConfig(), None),
        (transformers.MambaConfig(), None),
    ],
    ids=lambda value: getattr(value, "model_type", str(value)),
)
def test_limit_that_a_configuration_names(
    config: transformers.PretrainedConfig, limit: int | None
) -> None:
    assert context_tokens(config) == limit


def test_a_configuration_of_no_known_model_is_taken_at_its_word() -> None:
    config = transformers.PretrainedConfig(max_position_embeddings=77, pad_token_id=1)
    assert context_tokens(config) == 77


def test_only_angles_that_depend_on_the_length_divide_rows() -> None:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
        "original_max_position_embeddings": 16,
    }
    config = transformers.Phi3Config(
        **SIZES, pad_token_id=None, rope_parameters=rope, original_max_position_embeddings=16
    )
    assert length_boundaries(config) == (16,)
    assert length_boundaries(transformers.LlamaConfig()) == ()
    assert length_boundaries(transformers.MambaConfig()) == ()
    assert length_boundaries(transformers.Gemma3TextConfig()) == ()
