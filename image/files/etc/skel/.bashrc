# Debian's, without what costs every new shell a second where the CPU is emulated: completions are
# loaded when TAB is pressed for the first time, and ls has its own colours.
case $- in
*i*) ;;
*) return ;;
esac

HISTCONTROL=ignoreboth
HISTSIZE=1000
HISTFILESIZE=2000
shopt -s histappend checkwinsize

PS1='\[\e]0;\u@\h: \w\a\]\[\e[01;32m\]\u@\h\[\e[00m\]:\[\e[01;34m\]\w\[\e[00m\]\$ '
alias ls='ls --color=auto' grep='grep --color=auto'
[ ! -f ~/.bash_aliases ] || . ~/.bash_aliases

_load_completions() {
    . /usr/share/bash-completion/bash_completion
    _comp_complete_load "$@"
}
[ ! -r /usr/share/bash-completion/bash_completion ] || complete -D -F _load_completions
