-- needs: waiting save
-- retry: run failed or cancelled tasks again.
-- ARGV[3] msgpack: {id, …}. Answers {a word for each: see `Retrial`, sent}.

local function last_attempt(record)
  local live = record.live
  if live.attempt ~= live.told and live.started > 0 then
    remember_attempt(record, live.state, field_of(record, 'error'))
  end
end

local function retried(id)
  local record = load(id)
  if not record then
    return 'not_found'
  end
  local live, unique = record.live, rules_of(record).unique
  if not is_final(live.state) then
    return 'not_final'
  elseif live.state == 'completed' then
    return 'completed'
  end
  if unique and not unique.lasts then
    local first = holder(live.queue, unique.key)
    if first and first.id ~= id then
      return 'key_taken'
    end
    hold_key(record)
  end
  last_attempt(record)
  live.limit = live.attempt + facts_of(record).attempts
  live.claim, live.worker, live.started = '', '', 0
  live.crashes, live.alone, live.cancel = 0, false, false
  live.finished, live.prune = 0, 0
  put(record, 'result', nil)
  put(record, 'error', nil)
  put(record, 'reason', nil)
  live.due = LEDGER.now
  STATES.ask_upstream(record, 'manual_retry')
  return 'retried'
end

local answers = {}
for at, id in ipairs(cmsgpack.unpack(ARGV[3])) do
  answers[at] = retried(id)
end
save()
return {answers, SENT}
