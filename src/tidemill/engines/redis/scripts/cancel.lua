-- needs: waiting save
-- cancel: end waiting tasks, ask running ones to stop.
-- ARGV[3] msgpack: {reason, {id, …}}. Answers {the state of each then, false where there is none; sent}.

go_on_when_full()
local request = cmsgpack.unpack(ARGV[3])
local answers = {}
for at, id in ipairs(request[2]) do
  local record = load(id)
  if record and record.live.state == 'running' then
    if not record.live.cancel then
      record.live.cancel = true
      put(record, 'reason', request[1])
      tell(record, 'cancel_requested')
    end
  elseif record and not is_final(record.live.state) then
    STATES.finish(record, 'cancelled', 'cancelled', nil, nil, request[1])
  end
  answers[at] = record and record.live.state or false
end
save()
return {answers, SENT}
