"""What needs no worker."""

from __future__ import annotations

import pytest
from sparkler_client import Limits, ToolCallFragment, UnavailableError, UnreachableError, api
from sparkler_client._cursor import RESUMES, Cursor
from sparkler_client._errors import Failure
from sparkler_client._events import event, join
from sparkler_client._request import Cache, Defaults, execute_request


def started(sequence: int = 0) -> api.ExecuteNodeResponse:
    return api.ExecuteNodeResponse(sequence=sequence, started=api.Started(execution_token="t"))


def delta(sequence: int) -> api.ExecuteNodeResponse:
    return api.ExecuteNodeResponse(sequence=sequence, delta=api.Delta(text="x"))


def lost() -> UnavailableError:
    return UnavailableError(Failure("UNAVAILABLE", "lost", "CONNECTION_LOST", retryable=True))


def unreachable() -> Exception:
    return Failure("UNAVAILABLE", "refused", "WORKER_UNREACHABLE", retryable=True).error()


def draining_cursor() -> Cursor:
    options = {"limits": Limits(on_cancel="drain")}
    return Cursor(execute_request(Defaults(model="m", api_key="k"), "Why?", options))


def not_found() -> Exception:
    return Failure("NOT_FOUND", "not kept", "EXECUTION_NOT_FOUND", "sparkler").error()


def test_fragments_of_one_call_are_joined() -> None:
    fragments = [
        ToolCallFragment(0, "a", "look", '{"x"'),
        ToolCallFragment(1, "b", "go", "{}"),
        ToolCallFragment(0, "", "", ": 1}"),
    ]
    assert join(fragments) == (
        ToolCallFragment(0, "a", "look", '{"x": 1}'),
        ToolCallFragment(1, "b", "go", "{}"),
    )


def test_an_event_of_a_later_release_is_left_out() -> None:
    unknown = api.ExecuteNodeResponse.FromString(b"\xfa\x3f\x00")
    assert event(unknown) is None


def test_an_enum_value_of_a_later_release_is_its_number() -> None:
    response = api.ExecuteNodeResponse(started=api.Started(cache_status=99))
    assert event(response).cache == "99"


def test_an_execution_that_was_not_kept_is_sent_again() -> None:
    cursor = draining_cursor()
    original = cursor.request
    cursor.read(started())
    cursor.resume(lost())
    assert isinstance(cursor.request, api.AttachExecutionRequest)
    assert cursor.request.credential.api_key == "k"
    cursor.resume(not_found())
    assert cursor.request is original


def test_an_execution_that_was_shown_is_not_sent_again() -> None:
    cursor = draining_cursor()
    cursor.read(started())
    cursor.read(delta(1))
    cursor.resume(lost())
    assert cursor.request.after_sequence == 1
    with pytest.raises(UnavailableError, match="CONNECTION_LOST") as failure:
        cursor.resume(not_found())
    assert failure.value.retryable


def test_connections_that_bring_nothing_new_are_given_up() -> None:
    cursor = draining_cursor()
    for _ in range(RESUMES):
        cursor.read(started())
        cursor.resume(lost())
    cursor.read(started())
    with pytest.raises(UnavailableError):
        cursor.resume(lost())


def test_a_request_whose_connection_went_away_is_sent_again() -> None:
    cursor = draining_cursor()
    original = cursor.request
    for _ in range(RESUMES):
        cursor.resume(lost())
        assert cursor.request is original
    with pytest.raises(UnavailableError):
        cursor.resume(lost())


def test_a_worker_that_is_away_may_be_back() -> None:
    cursor = draining_cursor()
    cursor.read(started())
    cursor.resume(lost())
    attachment = cursor.request
    cursor.resume(unreachable())
    assert cursor.request is attachment
    cursor.read(delta(1))
    assert cursor.sequence == 1


def test_a_worker_that_nobody_reaches_is_not_tried_again() -> None:
    with pytest.raises(UnreachableError):
        draining_cursor().resume(unreachable())


def test_an_answer_alone_needs_no_deltas() -> None:
    cursor = draining_cursor()
    cursor.without_deltas()
    assert cursor.request.output.deltas is False
    cursor.read(started())
    cursor.resume(lost())
    assert cursor.request.deltas is False


def test_a_secret_is_in_no_representation() -> None:
    defaults = Defaults(model="m", api_key="fw_secret", cache=Cache(mode="off"))
    assert "fw_secret" not in repr(defaults)


def test_unset_words_are_unspecified() -> None:
    request = execute_request(Defaults(), "Why?", {"cache": "refresh"})
    assert request.cache.mode == api.CachePolicy.MODE_REFRESH
    assert request.cache.scope == api.CachePolicy.SCOPE_UNSPECIFIED
    with pytest.raises(ValueError, match="MODE_SOMETIMES"):
        execute_request(Defaults(), "Why?", {"cache": "sometimes"})


def test_a_misspelt_option_is_refused() -> None:
    with pytest.raises(TypeError, match="modle: options are "):
        execute_request(Defaults(), "Why?", {"modle": "m"})


@pytest.mark.parametrize("asked", [{}, {"prompt": "a", "messages": []}])
def test_a_request_has_one_input(asked) -> None:
    options = {"messages": asked["messages"]} if "messages" in asked else {}
    with pytest.raises(ValueError, match="one of a prompt, messages and texts"):
        execute_request(Defaults(), asked.get("prompt"), options)
