-- needs: waiting save
-- reclaim: take back tasks whose lease is over, the longest over first; then forget workers that
-- hold nothing and were not heard of for long, and lanes that nobody needs.
-- ARGV[3] msgpack: {limit, idle}: how many, and after how many milliseconds a worker is forgotten.
-- Answers {{id, type, queue, worker, state} each, sent}.

local request = cmsgpack.unpack(ARGV[3])
go_on_when_full()

local function reclaimed(id)
  local record = load(id)
  local live = record.live
  local worker = live.worker
  live.claim = ''
  if live.cancel then
    STATES.finish(record, 'cancelled', 'reclaimed', nil, nil, field_of(record, 'reason'))
    return {id, live.type, live.queue, worker, live.state}
  end
  local failure = cjson.encode({
    type = 'WorkerLost', fingerprint = 'WorkerLost', traceback = '',
    message = 'worker ' .. worker .. ' stopped extending its lease during attempt ' .. live.attempt,
  })
  if live.attempt >= live.limit then
    STATES.finish(record, 'failed', 'reclaimed', nil, failure)
    return {id, live.type, live.queue, worker, live.state}
  end
  note_end(live.queue, live.type, 'reclaimed', 0, live.due)
  remember_attempt(record, 'lost', failure)
  put(record, 'error', failure)
  change_lane(live, true)
  STATES.admit(record, 'reclaimed')
  return {id, live.type, live.queue, worker, live.state}
end

-- A consumer is removed only while it holds nothing: its pending entries would go with it.
local function forget_workers(lane)
  local key = KEY.lane .. lane
  local consumers = redis.pcall('XINFO', 'CONSUMERS', key, GROUP)
  for _, raw in ipairs(consumers.err and {} or consumers) do
    local told = {}
    for at = 1, #raw, 2 do
      told[raw[at]] = raw[at + 1]
    end
    if told.pending == 0 and told.idle > request[2] then
      redis.call('XGROUP', 'DELCONSUMER', key, GROUP, told.name)
    end
  end
  if redis.call('XLEN', key) == 0 and #redis.pcall('XINFO', 'CONSUMERS', key, GROUP) == 0 then
    redis.call('DEL', key)
    redis.call('SREM', KEY.lanes, lane)
  end
end

local answers = {}
if request[1] > 0 then
  local over = redis.call('ZRANGEBYSCORE', KEY.leases, '-inf', '(' .. whole(LEDGER.now),
    'LIMIT', 0, request[1])
  for at, id in ipairs(over) do
    answers[at] = reclaimed(id)
  end
end
save()
local lane = redis.call('SRANDMEMBER', KEY.lanes)
if lane then
  forget_workers(lane)
end
return {answers, SENT}
