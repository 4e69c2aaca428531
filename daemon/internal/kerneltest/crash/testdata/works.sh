# What an ordinary user does in the folder $AT, until there is the file $ENOUGH:
# works.sh names|fio.
set -e
. $JOB/lib.sh

# Each change of a name has to succeed the first time.
names() {
	mkdir $AT/names; cd $AT/names
	n=0
	while [ ! -e $ENOUGH ]; do
		n=$((n + 1))
		mkdir a$n; mv a$n b$n; ln -s there c$n; mv -T c$n b$n/c; echo $n >b$n/d; mv b$n/d b$n/e
		same "$(cat b$n/e)" $n
		same "$(ls b$n | tr '\n' ' ')" "c e "
		rm b$n/c b$n/e; rmdir b$n
	done
	same "$(ls)" ""
	cd $AT; rmdir names
	echo "$n times: made, renamed, linked and removed"
}

# What fio does must be without a single error.
verified() {
	mkdir $AT/fio
	n=0
	while [ ! -e $ENOUGH ]; do
		fio $JOB/fio.ini >/tmp/fio.$$ 2>&1 || { cat /tmp/fio.$$; return 1; }
		! grep -i 'err= *[1-9]\|verify:\|error' /tmp/fio.$$
		n=$((n + 1))
	done
	echo "$n runs of fio"
}

$1
