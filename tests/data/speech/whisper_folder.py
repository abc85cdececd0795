"""A Whisper model of the real layout with random weights, converted by CTranslate2's own converter."""

import json

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

LANGUAGES = ("en", "de")
TIMESTAMPS = 1501  # every 20 ms up to 30 s


def vocabulary():
    """Bytes, then the special tokens in the order of the published multilingual vocabulary."""
    bytes_first = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        *(f"<|{language}|>" for language in LANGUAGES),
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    return bytes_first, special


def write_whisper(folder, seed=0):
    """Write the folder that faster-whisper loads; returns it."""
    from ctranslate2.converters import TransformersConverter

    published = folder / "published"
    bytes_first, special = vocabulary()
    ids = {token: index for index, token in enumerate([*bytes_first, *special])}
    backend = Tokenizer(models.BPE(vocab={token: ids[token] for token in bytes_first}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    config = WhisperConfig(
        vocab_size=len(ids) + TIMESTAMPS,
        num_mel_bins=80,
        d_model=32,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=64,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(config)
    model.generation_config.lang_to_id = {f"<|{language}|>": ids[f"<|{language}|>"] for language in LANGUAGES}
    model.generation_config.suppress_tokens = []
    model.generation_config.begin_suppress_tokens = [ids["<|endoftext|>"]]
    model.save_pretrained(published)
    tokenizer.save_pretrained(published)
    (published / "preprocessor_config.json").write_text(
        json.dumps({"feature_size": 80, "sampling_rate": 16_000, "hop_length": 160, "chunk_length": 30, "n_fft": 400})
    )
    converted = folder / "whisper-random"
    copied = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(published), copy_files=copied).convert(str(converted), quantization="int8")
    return converted
