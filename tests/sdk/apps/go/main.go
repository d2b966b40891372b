// An application with the official Go SDK on net/http.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/inngest/inngest/pkg/enums"
	"github.com/inngest/inngestgo"
	sdkerrors "github.com/inngest/inngestgo/errors"
	"github.com/inngest/inngestgo/group"
	"github.com/inngest/inngestgo/step"
)

type data = map[string]any
type input = inngestgo.Input[data]
type handler = func(ctx context.Context, in input) (any, error)
type options = inngestgo.FunctionOpts

type written struct {
	Key  any   `json:"key"`
	What any   `json:"what"`
	At   int64 `json:"at"`
}

var (
	app    = os.Getenv("APP")
	ownKey = "event.data.key"
	mutex  sync.Mutex
	notes  = []written{}
	client = newClient(app, false)
)

func pointer[T any](value T) *T { return &value }

func newClient(id string, streams bool) inngestgo.Client {
	made, err := inngestgo.NewClient(inngestgo.ClientOpts{
		AppID:           id,
		Dev:             pointer(os.Getenv("MODE") != "production"),
		APIBaseURL:      pointer(os.Getenv("SERVER")),
		RegisterURL:     pointer(os.Getenv("SERVER") + "/fn/register"),
		EventAPIBaseURL: pointer(os.Getenv("EVENTS")),
		UseStreaming:    streams,
	})
	must(err)
	return made
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func note(in input, what any) {
	mutex.Lock()
	defer mutex.Unlock()
	notes = append(notes, written{in.Event.Data["key"], what, time.Now().UnixMilli()})
}

func addOn(triggers inngestgo.MultipleTriggers, opts options, of handler) {
	opts.Name = opts.ID
	_, err := inngestgo.CreateFunction(client, opts, triggers, of)
	must(err)
}

func add(opts options, of handler) {
	name := app + "/" + opts.ID
	addOn(inngestgo.MultipleTriggers{inngestgo.EventTrigger(name, nil)}, opts, of)
}

func number(in input, name string) int { return int(in.Event.Data[name].(float64)) }

func ms(in input, name string) time.Duration {
	return time.Duration(number(in, name)) * time.Millisecond
}

func steps() {
	add(options{ID: "sequence"}, func(ctx context.Context, in input) (any, error) {
		note(in, "call")
		one := func(context.Context) (int, error) { note(in, "one"); return 1, nil }
		first, err := step.Run(ctx, "one", one)
		if err != nil {
			return nil, err
		}
		step.Sleep(ctx, "nap", 200*time.Millisecond)
		second, err := step.Run(ctx, "one", one)
		return data{"sum": first + second, "n": number(in, "n")}, err
	})
	add(options{ID: "sleep_until"}, func(ctx context.Context, in input) (any, error) {
		step.SleepUntil(ctx, "moment", time.UnixMilli(int64(number(in, "until"))))
		return data{"woken_at": time.Now().UnixMilli()}, nil
	})
	add(options{ID: "parallel"}, twoGroups(enums.ParallelModeWait))
	add(options{ID: "race"}, twoGroups(enums.ParallelModeRace))
	add(options{ID: "send"}, func(ctx context.Context, in input) (any, error) {
		one := inngestgo.GenericEvent[data]{Name: app + "/sent", Data: data{"key": in.Event.Data["key"]}}
		return step.SendMany(ctx, "both", []inngestgo.GenericEvent[data]{one, one})
	})
	add(options{ID: "sent"}, func(ctx context.Context, in input) (any, error) {
		note(in, "sent")
		return nil, nil
	})
	add(options{ID: "large"}, func(ctx context.Context, in input) (any, error) {
		length := 0
		for n := range 5 {
			part, err := step.Run(ctx, fmt.Sprintf("part %d", n), func(context.Context) (string, error) {
				note(in, "part")
				return strings.Repeat("x", 1024*1024), nil
			})
			if err != nil {
				return nil, err
			}
			length += len(part)
		}
		return length, nil
	})
}

func twoGroups(mode enums.ParallelMode) handler {
	return func(ctx context.Context, in input) (any, error) {
		note(in, "call")
		part := func(name string) func(context.Context) (any, error) {
			return func(ctx context.Context) (any, error) {
				return step.Run(ctx, name, func(context.Context) (string, error) {
					note(in, name)
					return name, nil
				})
			}
		}
		said := ""
		for _, names := range [][]string{{"a", "b"}, {"c", "d"}} {
			how := group.ParallelOpts{ParallelMode: mode}
			results := group.ParallelWithOpts(ctx, how, part(names[0]), part(names[1]))
			if err := results.AnyError(); err != nil {
				return nil, err
			}
			said += results[0].Value.(string) + results[1].Value.(string)
		}
		return said, nil
	}
}

func waits() {
	add(options{ID: "wait"}, func(ctx context.Context, in input) (any, error) {
		found, err := step.WaitForEvent[inngestgo.GenericEvent[data]](ctx, "go", step.WaitForEventOpts{
			Event:   app + "/go",
			Timeout: time.Duration(number(in, "timeout")) * time.Second,
			If:      pointer("event.data.key == async.data.key"),
		})
		if errors.Is(err, step.ErrEventNotReceived) {
			return nil, nil
		}
		return data{"name": found.Name, "data": found.Data}, err
	})
	add(options{ID: "signal"}, func(ctx context.Context, in input) (any, error) {
		found, err := step.WaitForSignal[any](ctx, "signal", step.WaitForSignalOpts{
			Signal:  in.Event.Data["key"].(string),
			Timeout: time.Duration(number(in, "timeout")) * time.Second,
		})
		if errors.Is(err, step.ErrSignalNotReceived) {
			return nil, nil
		}
		return found, err
	})
	add(options{ID: "mixed", Retries: pointer(0)}, mixed)
	add(options{ID: "callee"}, func(ctx context.Context, in input) (any, error) {
		how := in.Event.Data["how"]
		if how == "fails" {
			return nil, inngestgo.NoRetryError(errors.New("the callee fails"))
		}
		if how == "sleeps" {
			step.Sleep(ctx, "long", time.Hour)
		}
		return data{"got": how}, nil
	})
	add(options{ID: "invoke"}, func(ctx context.Context, in input) (any, error) {
		how, target := in.Event.Data["how"], app+"-callee"
		if how == "unknown" {
			target = app + "-nobody"
		}
		said, err := step.Invoke[any](ctx, "call", step.InvokeOpts{
			FunctionId: target, Data: data{"how": how}, Timeout: time.Second,
		})
		if err != nil {
			return data{"error": err.Error()}, nil
		}
		return said, nil
	})
	add(options{ID: "fetch"}, func(ctx context.Context, in input) (any, error) {
		said, err := step.Fetch[string](ctx, "ask", step.FetchOpts{
			URL:     in.Event.Data["provider"].(string) + "/echo",
			Method:  "POST",
			Headers: map[string]string{"X-My-Header": "mine"},
			Body:    "said",
		})
		if err != nil {
			return nil, err
		}
		body := data{}
		err = json.Unmarshal([]byte(said.Body), &body)
		return data{"status": said.StatusCode, "body": body}, err
	})
	add(options{ID: "infer"}, func(ctx context.Context, in input) (any, error) {
		said, err := step.Infer[data, data](ctx, "ask", step.InferOpts[data]{
			Opts: step.InferOpenAIOpts(pointer("secret"), pointer(in.Event.Data["provider"].(string))),
			Body: data{"model": "small", "messages": []data{{"role": "user", "content": in.Event.Data["say"]}}},
		})
		if err != nil {
			return data{"error": err.Error()}, nil
		}
		return said, nil
	})
}

func mixed(ctx context.Context, in input) (any, error) {
	results := group.Parallel(
		ctx,
		func(ctx context.Context) (any, error) {
			return step.Run(ctx, "good", func(context.Context) (string, error) { return "good", nil })
		},
		func(ctx context.Context) (any, error) {
			step.Sleep(ctx, "nap", 100*time.Millisecond)
			return nil, nil
		},
		func(ctx context.Context) (any, error) {
			call := step.InvokeOpts{FunctionId: app + "-callee", Data: data{"how": "returns"}}
			return step.Invoke[any](ctx, "call", call)
		},
		func(ctx context.Context) (any, error) {
			wait := step.WaitForEventOpts{
				Event: app + "/go", Timeout: time.Second, If: pointer("async.data.n == 'none'"),
			}
			_, err := step.WaitForEvent[any](ctx, "go", wait)
			if errors.Is(err, step.ErrEventNotReceived) {
				return nil, nil
			}
			return "an event", err
		},
	)
	if err := results.AnyError(); err != nil {
		return nil, err
	}
	failed := group.Parallel(ctx, func(ctx context.Context) (any, error) {
		return step.Run(ctx, "bad", func(context.Context) (any, error) {
			return nil, errors.New("the step fails")
		})
	})
	told := []any{}
	for _, result := range results {
		told = append(told, result.Value)
	}
	return append(told, failed[0].Error.Error()), nil
}

func failures() {
	add(options{ID: "caught", Retries: pointer(1)}, func(ctx context.Context, in input) (any, error) {
		_, err := step.Run(ctx, "bad", func(context.Context) (any, error) {
			note(in, "try")
			return nil, errors.New("the step fails")
		})
		stepError := sdkerrors.StepError{}
		if errors.As(err, &stepError) {
			return data{"message": stepError.Message, "name": stepError.Name}, nil
		}
		return nil, err
	})
	flaky := func(in input) (int, error) {
		note(in, in.InputCtx.Attempt)
		if in.InputCtx.Attempt < 2 {
			return 0, errors.New("not yet")
		}
		return in.InputCtx.Attempt, nil
	}
	add(options{ID: "step_retries", Retries: pointer(2)}, func(ctx context.Context, in input) (any, error) {
		return step.Run(ctx, "flaky", func(context.Context) (int, error) { return flaky(in) })
	})
	add(options{ID: "retries", Retries: pointer(2)}, func(ctx context.Context, in input) (any, error) {
		return flaky(in)
	})
	add(options{ID: "exhausted", Retries: pointer(1)}, func(ctx context.Context, in input) (any, error) {
		note(in, in.InputCtx.Attempt)
		return nil, errors.New("never")
	})
	add(options{ID: "retry_after", Retries: pointer(1)}, func(ctx context.Context, in input) (any, error) {
		note(in, in.InputCtx.Attempt)
		if in.InputCtx.Attempt == 0 {
			return nil, inngestgo.RetryAtError(errors.New("later"), time.Now().Add(2*time.Second))
		}
		return "done", nil
	})
	add(options{ID: "non_retriable", Retries: pointer(3)}, func(ctx context.Context, in input) (any, error) {
		note(in, in.InputCtx.Attempt)
		return nil, inngestgo.NoRetryError(errors.New("no use"))
	})
	add(options{ID: "failing", Retries: pointer(0)}, func(ctx context.Context, in input) (any, error) {
		return nil, errors.New("it failed")
	})
	own := fmt.Sprintf("event.data.function_id == '%s-failing'", app)
	failed := inngestgo.MultipleTriggers{inngestgo.EventTrigger("inngest/function.failed", &own)}
	addOn(failed, options{ID: "on_failure"}, func(ctx context.Context, in input) (any, error) {
		about := in.Event.Data
		cause := about["event"].(data)["data"].(data)
		of := input{Event: inngestgo.GenericEvent[data]{Data: cause}}
		message := about["error"].(data)["message"]
		note(of, data{"run": about["run_id"], "function": about["function_id"], "message": message})
		return nil, nil
	})
	cancel := inngestgo.ConfigCancel{Event: app + "/cancel", If: pointer("event.data.key == async.data.key")}
	onEvent := options{ID: "cancellable", Cancel: []inngestgo.ConfigCancel{cancel}}
	add(onEvent, func(ctx context.Context, in input) (any, error) {
		_, err := step.Run(ctx, "begin", func(context.Context) (any, error) { note(in, "begun"); return nil, nil })
		if err != nil {
			return nil, err
		}
		step.Sleep(ctx, "long", time.Hour)
		note(in, "went on")
		return nil, nil
	})
}

func held(ctx context.Context, in input) (any, error) {
	_, err := step.Run(ctx, "hold", func(context.Context) (any, error) {
		note(in, fmt.Sprintf("start %d", number(in, "n")))
		time.Sleep(ms(in, "hold"))
		note(in, fmt.Sprintf("end %d", number(in, "n")))
		return nil, nil
	})
	return number(in, "n"), err
}

func napping(ctx context.Context, in input) (any, error) {
	step.Sleep(ctx, "nap", ms(in, "nap"))
	return number(in, "n"), nil
}

func noted(ctx context.Context, in input) (any, error) {
	note(in, number(in, "n"))
	return number(in, "n"), nil
}

func flow() {
	second, hour := time.Second, time.Hour
	one := []inngestgo.ConfigStepConcurrency{{Limit: 1, Key: &ownKey}}
	batch := &inngestgo.ConfigBatchEvents{MaxSize: 3, Timeout: second, Key: &ownKey}
	add(options{ID: "batch", BatchEvents: batch}, func(ctx context.Context, in input) (any, error) {
		numbers := []any{}
		for _, event := range in.Events {
			numbers = append(numbers, event.Data["n"])
		}
		return numbers, nil
	})
	few := &inngestgo.ConfigBatchEvents{MaxSize: 2, Timeout: second, Key: &ownKey, If: pointer("event.data.n > 0")}
	add(options{ID: "batch_if", BatchEvents: few}, func(ctx context.Context, in input) (any, error) {
		numbers := []any{}
		for _, event := range in.Events {
			numbers = append(numbers, event.Data["n"])
		}
		return numbers, nil
	})
	atMost := &inngestgo.ConfigDebounce{Period: hour, Timeout: &second, Key: ownKey}
	add(options{ID: "debounce_timeout", Debounce: atMost}, noted)
	add(options{ID: "debounce", Debounce: &inngestgo.ConfigDebounce{Period: second, Key: ownKey}}, noted)
	limit := &inngestgo.ConfigRateLimit{Limit: 2, Period: hour, Key: &ownKey}
	add(options{ID: "rate_limit", RateLimit: limit}, noted)
	throttle := &inngestgo.ConfigThrottle{Limit: 1, Period: second, Key: &ownKey}
	add(options{ID: "throttle", Throttle: throttle}, noted)
	add(options{ID: "concurrency", Concurrency: one}, held)
	priority := &inngestgo.ConfigPriority{Run: pointer("event.data.priority")}
	add(options{ID: "priority", Concurrency: one, Priority: priority}, held)
	start := &inngestgo.ConfigTimeouts{Start: &second}
	add(options{ID: "start_timeout", Concurrency: one, Timeouts: start}, held)
	add(options{ID: "idempotent", Idempotency: &ownKey}, held)
	add(options{ID: "plain"}, held)
	burst := &inngestgo.ConfigThrottle{Limit: 1, Burst: 1, Period: hour, Key: &ownKey}
	add(options{ID: "throttle_burst", Throttle: burst}, held)
	shared := []inngestgo.ConfigStepConcurrency{
		{Limit: 9}, {Limit: 1, Key: &ownKey, Scope: enums.ConcurrencyScopeEnv},
	}
	add(options{ID: "shared_one", Concurrency: shared}, held)
	add(options{ID: "shared_two", Concurrency: shared}, held)
	skip := &inngestgo.ConfigSingleton{Mode: enums.SingletonModeSkip, Key: &ownKey}
	add(options{ID: "singleton_skip", Singleton: skip}, napping)
	cancel := &inngestgo.ConfigSingleton{Mode: enums.SingletonModeCancel, Key: &ownKey}
	add(options{ID: "singleton_cancel", Singleton: cancel}, napping)
	stop := inngestgo.ConfigCancel{Event: app + "/stop", Timeout: pointer("1s")}
	add(options{ID: "cancel_timeout", Cancel: []inngestgo.ConfigCancel{stop}}, napping)
	add(options{ID: "finish_timeout", Timeouts: &inngestgo.ConfigTimeouts{Finish: &second}}, napping)
	many := inngestgo.MultipleTriggers{
		inngestgo.EventTrigger(app+"/conditional", pointer("event.data.n > 3")),
		inngestgo.EventTrigger(app+"/many/*", nil),
	}
	addOn(many, options{ID: "conditional"}, func(ctx context.Context, in input) (any, error) {
		return in.Event.Name, nil
	})
	cron := inngestgo.MultipleTriggers{inngestgo.CronTrigger("TZ=Europe/Paris 0 9 * * *")}
	addOn(cron, options{ID: "scheduled"}, func(ctx context.Context, in input) (any, error) { return nil, nil })
}

func streamed() inngestgo.Client {
	other := newClient(app+"-streamed", true)
	other.SetURL(&url.URL{Scheme: "http", Host: "127.0.0.1:" + os.Getenv("PORT"), Path: "/api/streamed"})
	opts := options{ID: "slow", Name: "slow", Retries: pointer(0)}
	trigger := inngestgo.EventTrigger(app+"-streamed/slow", nil)
	_, err := inngestgo.CreateFunction(other, opts, trigger, func(ctx context.Context, in input) (any, error) {
		done, err := step.Run(ctx, "work", func(context.Context) (int, error) {
			time.Sleep(ms(in, "hold"))
			return 7, nil
		})
		if err == nil && in.Event.Data["fails"] == true {
			return nil, errors.New("streamed failure")
		}
		return done, err
	})
	must(err)
	return other
}

func say(response http.ResponseWriter, what any) {
	response.Header().Set("Content-Type", "application/json")
	must(json.NewEncoder(response).Encode(what))
}

func getNotes(response http.ResponseWriter, request *http.Request) {
	mutex.Lock()
	defer mutex.Unlock()
	found := []written{}
	for _, one := range notes {
		if one.Key == request.URL.Query().Get("key") {
			found = append(found, one)
		}
	}
	say(response, found)
}

func postSend(response http.ResponseWriter, request *http.Request) {
	events := []any{}
	must(json.NewDecoder(request.Body).Decode(&events))
	ids, err := client.SendMany(request.Context(), events)
	if err != nil {
		say(response, data{"error": err.Error(), "ids": ids})
		return
	}
	say(response, data{"ids": ids})
}

func main() {
	steps()
	waits()
	failures()
	flow()
	http.Handle("/api/inngest", client.Serve())
	http.Handle("/api/streamed", streamed().Serve())
	http.HandleFunc("/notes", getNotes)
	http.HandleFunc("/send", postSend)
	must(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
