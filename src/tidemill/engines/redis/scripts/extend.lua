-- needs: deliveries save
-- extend: renew leases that are still held, and record what their attempts reported.
-- ARGV[3] msgpack: {lease, {id, token, claim, progress or false, {log, …}} …}.
-- Answers 0 lost, 1 held, 2 held with a cancel requested, for each.

local request = cmsgpack.unpack(ARGV[3])
local leases = {}

local function extended(id, token, claim, progress, logs)
  local record = load(id)
  if not record or record.live.state ~= 'running' or not claimed_by(record, token, claim) then
    return 0
  end
  local live = record.live
  leases[#leases + 1] = LEDGER.now + (queue_named(live.queue).lease or request[1])
  leases[#leases + 1] = id
  local lane = lane_of(live)
  local renewed = redis.pcall('XCLAIM', KEY.lane .. lane, GROUP, live.worker, 0,
    live.arrival .. '-0', 'IDLE', 0, 'JUSTID')
  if renewed.err then
    mend(lane)
  end
  if #logs > 0 then
    in_parts(logs, 'RPUSH', KEY.logs .. id)
  end
  if progress then
    put(record, 'progress', progress)
    tell(record, 'progress', progress)
  end
  return live.cancel and 2 or 1
end

go_on_when_full()
local answers = {}
for at = 2, #request do
  answers[at - 1] = extended(unpack(request[at], 1, 5))
end
in_parts(leases, 'ZADD', KEY.leases)
save()
return answers
