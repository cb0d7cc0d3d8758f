-- needs: produce fires save
-- carry: hear what other queues sent, in order. It was accepted there, so a full server hears it too.
-- ARGV[3] msgpack, for each: {'wait', task, who waits}; {'arrived', who waits, task, how}; {'enqueue', made
-- task}, with what it brings along in ARGV[4…]; or {'forget', schedule}.
-- Tasks elsewhere are written `queue TAB id`. Answers {of each: '', but for one to wait for that is over
-- its state, or `gone`; sent}.

go_on_when_full()
local answers = {}
for at, message in ipairs(cmsgpack.unpack(ARGV[3])) do
  local kind, one, other, how = unpack(message, 1, 4)
  answers[at] = ''
  if kind == 'wait' then
    local state = waiting().wait_for(one, other) or 'gone'
    answers[at] = (is_final(state) or state == 'gone') and state or ''
  elseif kind == 'enqueue' then
    enqueue(one)
  elseif kind == 'forget' then
    forget_mark(one)
  else
    waiting().arrived_at(one, other, how)
  end
end
save()
return {answers, SENT}
