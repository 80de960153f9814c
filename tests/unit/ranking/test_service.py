"""The port: taken at the start, open when the model is warm."""

import gc
import socket

import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.settings import load_settings
from models.bundle import Bundle
from ranking.port import bind, listen
from ranking.rankings import Rankings
from ranking.service import serve


def is_open(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_bound_port_refuses_until_it_listens() -> None:
    with bind("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        assert not is_open(address)
        listen(listener)
        assert is_open(address)
        with pytest.raises(ConfigurationError, match="cannot listen on") as refused:
            bind(*address)
    assert "--port" in refused.value.hint


def test_a_port_opened_by_another_meanwhile_is_refused_too() -> None:
    with bind("127.0.0.1", 0) as one, bind(*one.getsockname()) as other:
        listen(one)
        with pytest.raises(ConfigurationError, match="cannot listen on"):
            listen(other)


async def test_the_port_is_closed_while_the_model_warms_up(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WarmedUpError(Exception):
        pass

    found = []
    with bind("127.0.0.1", 0) as listener:

        def warm_up(_: Rankings) -> None:
            found.append(is_open(listener.getsockname()))
            raise WarmedUpError

        monkeypatch.setattr(Rankings, "warm_up", warm_up)
        with pytest.raises(WarmedUpError):
            await serve({"m": bundle}, load_settings(worker_urls="http://127.0.0.1:1"), listener)
    assert found == [False]
    gc.unfreeze()
