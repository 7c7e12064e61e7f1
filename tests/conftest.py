"""Fixtures for all tests: a tiny encoder and corpus, and the real ones where the environment names them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from model.config import TrialConfig
from model.data.corpus import Corpus
from model.data.tokens import Tokens, tokenize
from model.network.pretrained import Encoder, read_encoder
from tests.support import tiny_config, tiny_corpus, tiny_encoder

torch.set_num_threads(1)
# The same examples at every run, and no clock: other work on the machine makes no test fail.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What frozen layers put out is kept apart from the user's, also by the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """A refit takes all cores; the tests after it are to be as quick and as exact as before."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return tiny_encoder()


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return tiny_corpus()


@pytest.fixture(scope="session")
def tokens(corpus: Corpus, encoder: Encoder) -> Tokens:
    return tokenize(corpus, encoder)


@pytest.fixture(scope="session")
def config() -> TrialConfig:
    return tiny_config()


@pytest.fixture(scope="session")
def real_data() -> str:
    """The folder with the CS224N files."""
    return _from_environment("MINBERT_DATA")


@pytest.fixture(scope="session")
def real_encoder_folder() -> Path:
    """The folder of a pretrained BERT."""
    return Path(_from_environment("MINBERT_ENCODER"))


@pytest.fixture(scope="session")
def real_encoder(real_encoder_folder: Path) -> Encoder:
    return read_encoder(str(real_encoder_folder))


def _from_environment(name: str) -> str:
    if name not in os.environ:
        pytest.skip(f"{name} is not set")
    return os.environ[name]
