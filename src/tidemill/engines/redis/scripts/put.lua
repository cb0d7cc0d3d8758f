-- needs: fires outbox
-- put: write documents in order. A schedule that is removed takes its mark and fires along; on a
-- cluster also those that the queues have.
-- ARGV[3] msgpack: {kind, key, if_version or false, number of its body in ARGV or false} each.
-- Answers {the new version of each (0: removed), -1 where the present version is another; sent; now}.

local function forget_schedule(name)
  forget_mark(name)
  for _, queue in ipairs(redis.call('SMEMBERS', KEY.known)) do
    send('forget', queue, name)
  end
end

local answers = {}
for at, put_one in ipairs(cmsgpack.unpack(ARGV[3])) do
  local kind, key, if_version, body = unpack(put_one, 1, 4)
  local place = KEY.documents .. kind
  local present = redis.call('HGET', place, key)
  local version = present and tonumber(string.match(present, '^%d+')) or 0
  if if_version and if_version ~= version then
    answers[at] = -1
  elseif body then
    redis.call('HSET', place, key,
      whole(version + 1) .. ':' .. whole(LEDGER.now) .. ':' .. ARGV[body])
    answers[at] = version + 1
  else
    redis.call('HDEL', place, key)
    answers[at] = 0
    if kind == 'schedule' then
      forget_schedule(key)
    end
  end
end
save_ledger()
return {answers, SENT, LEDGER.now}
