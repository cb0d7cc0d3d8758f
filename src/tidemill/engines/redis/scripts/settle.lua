-- needs: produce save
-- settle: record how attempts ended, where their claims are still held.
-- ARGV[3] msgpack, for each: {id, token, claim, outcome, what the outcome has, what it brings along}.
-- Completed has the number of its result in ARGV or false; the others a table with error (JSON),
-- delay, crashed, reason, children, afar ({queue, id}) as they need. Along come, or false: made
-- (tasks), sent ({queue, task}, for other shards), progress, logs. ARGV[4…]: results, and
-- what tasks bring along (`produce.lua`). Answers {the state of each task then, or false where the
-- claim is not held; sent}.

local MAX_CRASHES = 3

local OUTCOMES = {}

function OUTCOMES.Completed(record, outcome)
  STATES.finish(record, 'completed', 'completed', outcome and ARGV[outcome] or nil)
end

function OUTCOMES.Failed(record, outcome)
  STATES.finish(record, 'failed', 'failed', nil, outcome.error)
end

function OUTCOMES.Cancelled(record, outcome)
  STATES.finish(record, 'cancelled', 'cancelled', nil, nil, outcome.reason)
end

function OUTCOMES.Retried(record, outcome)
  local live = record.live
  live.crashes = live.crashes + (outcome.crashed and 1 or 0)
  if live.attempt >= live.limit or (outcome.crashed and live.crashes >= MAX_CRASHES) then
    return STATES.finish(record, 'failed', 'failed', nil, outcome.error)
  end
  note_end(live.queue, live.type, 'retried', live.started, live.due)
  remember_attempt(record, 'retried', outcome.error)
  put(record, 'error', outcome.error)
  change_lane(live, outcome.crashed)
  live.due = LEDGER.now + outcome.delay
  STATES.schedule_or_admit(record, 'retried')
end

function OUTCOMES.Snoozed(record, outcome)
  record.live.attempt = record.live.attempt - 1
  put(record, 'reason', outcome.reason)
  record.live.due = LEDGER.now + outcome.delay
  STATES.schedule_or_admit(record, 'snoozed')
end

function OUTCOMES.Waiting(record, outcome)
  record.live.attempt = record.live.attempt - 1
  waiting().wait(record, outcome.children, outcome.afar)
end

function OUTCOMES.Released(record)
  record.live.attempt = record.live.attempt - 1
  STATES.admit(record, 'released')
end

local ENDS = {Completed = true, Failed = true, Cancelled = true}

local function report(record, along)
  if along.progress then
    put(record, 'progress', along.progress)
  end
  in_parts(along.logs, 'RPUSH', KEY.logs .. record.id)
end

local function enqueue_with_it(along)
  -- What is sent goes first: what is made here may come after it.
  for _, each in ipairs(along.sent) do
    local task = each[2]
    send('enqueue', each[1], task[1], task[3], task[4], task[5], due_of(task), task[9], task[10],
      ARGV[task[6]], ARGV[task[6] + 1], task[11] and ARGV[task[6] + 2] or '')
  end
  for _, each in ipairs(along.made) do
    enqueue(each)
  end
end

local function settled(id, token, claim, kind, outcome, along)
  local record = load(id)
  if not record or not claimed_by(record, token, claim) then
    return false
  end
  local live = record.live
  if live.state ~= 'running' then
    return live.state
  end
  if along then
    report(record, along)
  end
  if live.cancel and not ENDS[kind] then
    STATES.finish(record, 'cancelled', 'cancelled', nil, nil, field_of(record, 'reason'))
    return live.state
  end
  if along then
    enqueue_with_it(along)
  end
  OUTCOMES[kind](record, outcome)
  return live.state
end

go_on_when_full()
local answers = {}
for at, each in ipairs(cmsgpack.unpack(ARGV[3])) do
  if each[4] == 'Completed' and not each[6]
    and complete_plain(each[1], each[2], each[3], each[5] and ARGV[each[5]]) then
    answers[at] = 'completed'
  else
    answers[at] = settled(unpack(each, 1, 6))
  end
end
save()
return {answers, SENT}
