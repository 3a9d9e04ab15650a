" A step in for each open bracket, one out for a line that begins with a closing one.
if exists('b:did_indent')
  finish
endif
let b:did_indent = 1
setlocal indentexpr=TaperIndent() indentkeys=0{,0},0],0),o,O
let b:undo_indent = 'setlocal indentexpr< indentkeys<'

function! TaperIndent() abort
  let above = prevnonblank(v:lnum - 1)
  let text = substitute(getline(above), '"[^"]*"\|#.*', '', 'g')
  let opened = text =~# '[{(\[]\s*$'
  let closes = getline(v:lnum) =~# '^\s*[})\]]'
  return max([0, indent(above) + shiftwidth() * (opened - closes)])
endfunction
