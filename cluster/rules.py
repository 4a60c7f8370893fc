"""What is to be done about the workers of a job, from what is known of them and the time.

Each rule reads `Members`, in which it also notes what it has decided, so that every action is given
once. Nothing here starts or kills anything: `cluster.supervisor` does.
"""

from __future__ import annotations

from cluster.endings import as_exit_status
from cluster.members import Act, Member, Members, name_of
from intent.training.comm import PeerLost

MEETING_S = 30.0  # that a rank may still try to meet one that is gone: Gloo's patience


def due(members: Members, now: float) -> list[Act]:
    """The actions that are due, each given once."""
    if members.finished:
        return []
    since = now if members.over_since is None else members.over_since
    members.over_since = since if members.over else None
    acts = [*_silent(members, now), *_stuck(members, now)]
    if members.fatal is not None:
        return [*acts, members.fatal]
    if members.lost and not members.policy.elastic:
        # Who failed for want of another is not the cause.
        lost = min(members.lost, key=lambda m: m.status == PeerLost.exit_status)
        status = as_exit_status(lost.status or 1)
        return [*acts, Act("end", lost.number, status, f"{name_of(lost)} {lost.why}")]
    if members.barren > members.policy.barren:
        reason = f"the workers have met {members.barren} times without making a step"
        return [*acts, Act("end", -1, 1, reason)]
    for member in members.present():
        if member.leaving and member.rank is None:  # its place went before it came
            acts.append(_kill(members, member, "is not wanted any more"))
    acts += _replace(members)
    acts += _short(members, now)
    if not any(act.what == "end" for act in acts):
        _meet(members, now)
    return acts


def _silent(members: Members, now: float) -> list[Act]:
    """Who has never called home, or calls no more."""
    acts, policy = [], members.policy
    for member in members.present():
        if member.heard is None:
            if now - member.started > policy.start_s:
                told = f"did not start within {policy.start_s:g} s"
                acts.append(_kill(members, member, told))
        elif now - member.heard > policy.silence_s:
            told = f"was not heard of for {policy.silence_s:g} s: frozen or out of reach"
            acts.append(_kill(members, member, told))
    return acts


def _stuck(members: Members, now: float) -> list[Act]:
    """Who keeps the others waiting: in a reduction, or to meet."""
    acts, policy = [], members.policy
    for member in members.present():
        since, limit = member.started, policy.join_s
        if member.rank is not None:
            since, limit = members.over_since, policy.stall_s + MEETING_S
        if not member.joined and since is not None and now - since > limit:
            told = f"was stuck: it did not meet the others within {limit:g} s"
            acts.append(_kill(members, member, told))
    ranked = [m for m in members.present() if m.rank is not None]
    if members.over:
        return acts
    longest = max((m.waiting_s for m in ranked), default=0.0)
    for member in ranked:
        limit = policy.stall_s if member.steps else policy.first_stall_s
        if member.waiting_s == 0 and min(longest, now - member.moved) > limit:
            told = f"was stuck: the others waited {limit:g} s for it"
            acts.append(_kill(members, member, told))
    return acts


def _replace(members: Members) -> list[Act]:
    """A worker for each place that has none and is not given up."""
    if members.policy.comes:
        return []
    taken = {m.place for m in members.present()}
    return [Act("start", place) for place in _able(members) if place not in taken]


def _short(members: Members, now: float) -> list[Act]:
    """The end, when there have been too few for too long."""
    policy = members.policy
    heard = [m for m in members.present() if m.heard is not None and not m.leaving]
    if len(heard) >= policy.least:
        members.short_since = None
        return []
    taken = {m.place for m in heard}
    hope = members.searched or any(place not in taken for place in _able(members))
    limit = policy.start_s if members.generation < 0 else policy.wait_s
    members.short_since = now if members.short_since is None else members.short_since
    if hope and now - members.short_since <= limit:
        return []
    last = members.lost[-1] if members.lost else None
    reason = f"{len(heard)} workers are there and {policy.least} are needed"
    if last is not None:
        reason += f"; {name_of(last)} {last.why}"
    return [Act("end", last.number if last else -1, 1, reason)]


def _meet(members: Members, now: float) -> None:
    """The next generation, when everybody who counts has come."""
    for member in members.present():
        if member.leaving and member.joined:
            members.let_go(member)
    present = members.present()
    waiting = [m for m in present if m.joined]
    if len(waiting) < members.policy.least:
        return
    if any(m.rank is not None and not m.joined for m in present):
        return
    if members.generation < 0 and len(waiting) < len(_able(members)):
        if now - members.began <= members.policy.start_s:
            return
    waiting.sort(key=lambda m: m.number)
    hosts = list(dict.fromkeys(m.host for m in waiting))
    members.meet(sorted(waiting, key=lambda m: (hosts.index(m.host), m.number)))


def _able(members: Members) -> list[int]:
    """The places that are not given up."""
    return [p for p in members.places if members.failures.get(p, 0) < members.policy.failures]


def _kill(members: Members, member: Member, why: str) -> Act:
    members.lose(member, why)
    return Act("kill", member.number)
