package resolver

import "slices"

// queue hands out questions in turn by namespace, and of one namespace no more than most at
// a time: a thousand questions of one tenant delay another's by one reading.
type queue struct {
	most int
	// turns are the namespaces with questions, the next one first.
	turns   []string
	waiting map[string][]*entry
	active  map[string]int
}

func newQueue(most int) queue {
	return queue{most: most, waiting: map[string][]*entry{}, active: map[string]int{}}
}

// push puts a question behind those of its namespace.
func (q *queue) push(e *entry) {
	ns := e.question.Namespace
	if len(q.waiting[ns]) == 0 {
		q.turns = append(q.turns, ns)
	}
	q.waiting[ns] = append(q.waiting[ns], e)
}

// pop takes the next question that may be read now, or nil.
func (q *queue) pop() *entry {
	for i, ns := range q.turns {
		if q.active[ns] >= q.most {
			continue
		}
		e := q.waiting[ns][0]
		q.waiting[ns] = q.waiting[ns][1:]
		q.active[ns]++
		q.turns = slices.Delete(q.turns, i, i+1)
		if len(q.waiting[ns]) > 0 {
			q.turns = append(q.turns, ns)
		} else {
			delete(q.waiting, ns)
		}
		return e
	}
	return nil
}

// done makes room for the next question of the namespace.
func (q *queue) done(e *entry) {
	ns := e.question.Namespace
	if q.active[ns]--; q.active[ns] <= 0 {
		delete(q.active, ns)
	}
}
